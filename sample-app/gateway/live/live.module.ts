import { Module } from '@nestjs/common';
import { ServiceClient } from '../../shared/service.client.js';
import { LiveController } from './live.controller.js';
import { LiveFeed } from './live.feed.js';
import { MessageTape } from './message.tape.js';
import { OperatorController } from './operator.controller.js';
import { PageController } from './page.controller.js';
import { ServicesWatch } from './services.watch.js';

/** The live page: what it is made of, what it is told, and what it may ask. */
@Module({
  controllers: [PageController, LiveController, OperatorController],
  providers: [LiveFeed, MessageTape, ServicesWatch, ServiceClient],
})
export class LiveModule {}
