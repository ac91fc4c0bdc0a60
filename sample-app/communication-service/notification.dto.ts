import { IsString, Length } from 'class-validator';

export class NotificationDto {
  @IsString()
  @Length(1, 500)
  text!: string;
}
