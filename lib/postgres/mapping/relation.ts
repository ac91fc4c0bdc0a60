/** A column of a relation. @internal */
export interface RelationColumn {
  readonly name: string;
  /** The OID of its type. */
  readonly type: number;
  readonly modifier: number;
  /** Whether the replica identity has it. */
  readonly isIdentity: boolean;
}

/** A table, as the changes that follow describe their rows. @internal */
export interface Relation {
  readonly kind: 'relation';
  readonly oid: number;
  /** With its schema: `public.users`. */
  readonly name: string;
  /** `d` for the primary key, `f` for the whole row, `i` for an index, `n` for none. */
  readonly identity: string;
  readonly columns: readonly RelationColumn[];
}
