/**
 * Tools of the executable that KSI never offers, because they cannot work in a task: Claude would report work that never happens, or output
 * that nobody sees. Some exist only with a claude.ai login. test/integration/claude-tools.test.ts fails when the executable
 * offers a tool that nobody has checked.
 */
export const UNAVAILABLE_TOOLS: readonly string[] = [
  // These schedule later work, but the process ends with the task.
  'CronCreate',
  'CronDelete',
  'CronList',
  'ScheduleWakeup',
  'RemoteTrigger',
  // These show or queue something in a user interface or on a device. A task has neither.
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
