import {
  Module,
  type DynamicModule,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import { Database } from './database.js';
import { PgliteDatabase } from './pglite.database.js';
import { PostgresDatabase } from './postgres.database.js';

/** Opens the database of one service and creates its tables. */
@Module({})
export class DatabaseModule implements OnApplicationShutdown {
  constructor(private readonly database: Database) {}

  /** @param schema `CREATE TABLE IF NOT EXISTS` statements */
  static forRoot(schema: string): DynamicModule {
    return {
      module: DatabaseModule,
      providers: [
        {
          provide: Database,
          inject: [ConfigService],
          useFactory: async (config: ConfigService) => {
            const url = config.get<string>('DATABASE_URL');
            const database = url
              ? new PostgresDatabase(url)
              : await PgliteDatabase.open();
            await database.run(schema);
            return database;
          },
        },
      ],
      exports: [Database],
    };
  }

  onApplicationShutdown(): Promise<void> {
    return this.database.close();
  }
}
