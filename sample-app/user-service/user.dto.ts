import { IsString, Length } from 'class-validator';

/** What a client may say of a user, new or not. */
export class UserDto {
  @IsString()
  @Length(1, 100)
  name!: string;
}
