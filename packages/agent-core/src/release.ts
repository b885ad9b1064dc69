/** Of this library, as workers tell it of themselves. */
export const RELEASE = "0.0.0";
