import { serve } from '../shared/serve.js';
import { ContentServiceModule } from './content-service.module.js';

await serve('content-service', ContentServiceModule);
