import { serve } from '../shared/serve.js';
import { GatewayModule } from './gateway.module.js';

await serve('gateway', GatewayModule);
