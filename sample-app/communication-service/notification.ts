/** A row of a notification. */
export interface Notification {
  readonly id: number;
  readonly text: string;
}

/** The list that is served. It greets the user by name, so it depends on the user too. */
export interface NotificationList {
  readonly to: string;
  readonly notifications: readonly Notification[];
}
