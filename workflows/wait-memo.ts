/** Under this name the newest question of an agent stands in the memo of its workflow, where operators see it. */
export const WAIT_MEMO = 'lastWait';
