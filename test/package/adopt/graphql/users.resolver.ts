import {
  Args,
  Field,
  ID,
  Int,
  Mutation,
  ObjectType,
  Query,
  Resolver,
} from '@nestjs/graphql';
import { UsersService } from './users.service';

@ObjectType('User')
export class UserModel {
  @Field(() => ID)
  id!: string;

  @Field()
  name!: string;

  @Field(() => Int)
  loads!: number;
}

@Resolver(() => UserModel)
export class UsersResolver {
  constructor(private readonly users: UsersService) {}

  @Query(() => UserModel)
  async user(@Args('id') id: string): Promise<UserModel> {
    return { ...(await this.users.find(id)), loads: this.users.loads };
  }

  @Mutation(() => UserModel)
  async saveUser(
    @Args('id') id: string,
    @Args('name') name: string,
  ): Promise<UserModel> {
    return { ...(await this.users.save({ id, name })), loads: 0 };
  }
}
