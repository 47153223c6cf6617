/** `<root>` or `<root>/<folder>/…`: no empty segment, none that begins with a dot, no backslash. */
const SEGMENT = '[A-Za-z0-9_@+ -][A-Za-z0-9._@+ -]{0,127}';
export const WORKSPACE_PATTERN = `^[A-Za-z0-9_-]{1,64}(/${SEGMENT}){0,16}$`;

/** What a session's working folder is, at `ksi.transcripts.<session_id>.$workspace`; the last one holds. */
export interface WorkspaceBinding {
  readonly v: number;
  readonly workspace: string;
}

export const workspaceOf = ({ data }: { readonly data: Uint8Array }): string =>
  (JSON.parse(new TextDecoder().decode(data)) as WorkspaceBinding).workspace;
