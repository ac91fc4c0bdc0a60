import { ArrayMaxSize, ArrayMinSize, IsString, Length } from 'class-validator';

export class PatternDto {
  @IsString()
  @Length(1, 200)
  pattern!: string;
}

export class BatchDto {
  @IsString({ each: true })
  @Length(1, 200, { each: true })
  @ArrayMinSize(1)
  @ArrayMaxSize(100)
  keys!: string[];
}
