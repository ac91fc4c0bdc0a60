import { NestFactory } from '@nestjs/core';
import { Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { AppModule } from './app.module';

async function bootstrap(): Promise<void> {
  const app = await NestFactory.create(AppModule);
  app.connectMicroservice<MicroserviceOptions>({
    transport: Transport.TCP,
    options: {
      host: '127.0.0.1',
      port: Number(process.env['MESSAGE_PORT']),
    },
  });
  app.enableShutdownHooks();
  await app.startAllMicroservices();
  await app.listen(process.env['PORT'] ?? 3000, '127.0.0.1');
}
void bootstrap();
