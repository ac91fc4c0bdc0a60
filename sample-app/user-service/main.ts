import { serve } from '../shared/serve.js';
import { UserServiceModule } from './user-service.module.js';

await serve('user-service', UserServiceModule);
