import { serve } from '../shared/serve.js';
import { SocialServiceModule } from './social-service.module.js';

await serve('social-service', SocialServiceModule);
