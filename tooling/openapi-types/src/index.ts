import openapiTS, { astToString } from "openapi-typescript";

/** The types of an API, as others have them made of its document. */
export async function typesOf(document: object): Promise<string> {
  return astToString(await openapiTS(document as never));
}
