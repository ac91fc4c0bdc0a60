/** A row of a notification. */
export interface Notification {
  readonly id: number;
  readonly text: string;
}

/** The served list, which greets the user by name and so depends on the user too. */
export interface NotificationList {
  readonly to: string;
  readonly notifications: readonly Notification[];
}
