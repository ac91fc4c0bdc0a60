import { IsInt, IsString, Length, Max, Min } from 'class-validator';

/** Fields of a post that may change. */
export class PostDto {
  @IsString()
  @Length(1, 200)
  title!: string;
}

export class CreatePostDto extends PostDto {
  @IsInt()
  @Min(1)
  @Max(999_999_999)
  authorId!: number;
}
