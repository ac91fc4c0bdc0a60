import { serve } from '../shared/serve.js';
import { CommunicationServiceModule } from './communication-service.module.js';

await serve('communication-service', CommunicationServiceModule);
