import { IsInt, IsString, Length, Max, Min } from 'class-validator';

/** What may change in a post. */
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
