import {
  Body,
  Controller,
  HttpCode,
  NotFoundException,
  Param,
  Post,
  Put,
} from '@nestjs/common';
import { ParseIdPipe } from '../../shared/parse-id.pipe.js';
import { ServiceClient } from '../../shared/service.client.js';
import { ServicesWatch } from './services.watch.js';

const CONTROLS = ['cut', 'restore', 'pattern', 'batch', 'load'];

/** Actions of the page's buttons, forwarded to the service in question. */
@Controller()
export class OperatorController {
  constructor(
    private readonly services: ServiceClient,
    private readonly watch: ServicesWatch,
  ) {}

  @Put('users/:id')
  updateUser(
    @Param('id', ParseIdPipe) id: number,
    @Body() user: unknown,
  ): Promise<unknown> {
    return this.services.send('PUT', 'user-service', `/users/${id}`, user);
  }

  @Post('services/:name/:control')
  @HttpCode(200)
  async control(
    @Param('name') name: string,
    @Param('control') control: string,
    @Body() content: unknown,
  ): Promise<unknown> {
    const instance = this.watch.names.find((each) => each === name);
    if (instance === undefined || !CONTROLS.includes(control)) {
      throw new NotFoundException(`There is no ${control} of ${name}.`);
    }
    const path = `/controls/${control}`;
    const answer = await this.services.send('POST', instance, path, content);
    await this.watch.look(instance);
    return answer;
  }
}
