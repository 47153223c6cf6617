/**
 * Tools of the executable that KSI never offers, because their promise cannot come true: Claude would tell its user of work that never happens,
 * or of something shown that nobody sees. Some exist only with a claude.ai login. test/integration/claude-tools.test.ts fails when the executable
 * offers a tool that nobody has checked.
 */
export const UNAVAILABLE_TOOLS: readonly string[] = [
  // They promise work at a later time, but the process ends with the task.
  'CronCreate',
  'CronDelete',
  'CronList',
  'ScheduleWakeup',
  'RemoteTrigger',
  // They show something in a user interface or on a device, or queue it there. A task has neither.
  'PushNotification',
  'ReadNotifications',
  'ReportFindings',
  'SendFeedback',
  'SendUserFile',
  'SendUserMessage',
  'OfferChromeSetup',
  'propose_skills',
  'ShareOnboardingGuide',
  'ShowOnboardingRolePicker',
];
