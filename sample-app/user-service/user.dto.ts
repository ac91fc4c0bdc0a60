import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsInt,
  IsString,
  Length,
  Max,
  Min,
  ValidateNested,
} from 'class-validator';

/** Fields of a user that a client may set. */
export class UserDto {
  @IsString()
  @Length(1, 100)
  name!: string;
}

export class RenameDto extends UserDto {
  @IsInt()
  @Min(1)
  @Max(999_999_999)
  id!: number;
}

export class RenamesDto {
  @ValidateNested({ each: true })
  @Type(() => RenameDto)
  @ArrayMinSize(1)
  @ArrayMaxSize(100)
  users!: RenameDto[];
}
