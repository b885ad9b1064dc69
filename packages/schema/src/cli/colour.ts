import { styleText } from "node:util";

type Colour = "green" | "red" | "yellow";

/** Colour for a terminal, unless NO_COLOR is set; a file or a pipe gets none, whatever FORCE_COLOR says. */
export function colour(name: Colour, text: string, stream: NodeJS.WriteStream): string {
  return stream.isTTY ? styleText(name, text, { stream }) : text;
}
