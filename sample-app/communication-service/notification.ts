/** A row. */
export interface Notification {
  readonly id: number;
  readonly text: string;
}

/** What is served: it greets the user by name, and so depends on the user too. */
export interface NotificationList {
  readonly to: string;
  readonly notifications: readonly Notification[];
}
