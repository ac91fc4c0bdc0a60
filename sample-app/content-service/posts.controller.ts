import {
  Body,
  Controller,
  Get,
  HttpCode,
  Param,
  Post,
  Put,
  Query,
} from '@nestjs/common';
import { ParseIdPipe } from '../shared/parse-id.pipe.js';
import { ParseIdsPipe } from '../shared/parse-ids.pipe.js';
import { CreatePostDto, PostDto } from './post.dto.js';
import type { Post as PostRow } from './post.js';
import { PostsService } from './posts.service.js';

@Controller()
export class PostsController {
  constructor(private readonly posts: PostsService) {}

  @Get('posts')
  findByAuthors(
    @Query('authors', ParseIdsPipe) authors: number[],
  ): Promise<PostRow[]> {
    return this.posts.findByAuthors(authors);
  }

  @Get('posts/:id')
  find(@Param('id', ParseIdPipe) id: number): Promise<PostRow> {
    return this.posts.find(id);
  }

  @Post('posts')
  create(@Body() post: CreatePostDto): Promise<PostRow> {
    return this.posts.create(post);
  }

  @Put('posts/:id')
  update(
    @Param('id', ParseIdPipe) id: number,
    @Body() post: PostDto,
  ): Promise<PostRow> {
    return this.posts.update(id, post);
  }

  @Post('users/:id/posts/archive')
  @HttpCode(200)
  archiveAllOf(@Param('id', ParseIdPipe) authorId: number): Promise<PostRow[]> {
    return this.posts.archiveAllOf(authorId);
  }
}
