import { Type, type Static } from 'typebox';

/** Asks a worker process for the sizes of sessions' own working folders, on `ksi.control.<process>.sizes`. */
export const WorkspaceSizesRequest = Type.Object({ session_ids: Type.Array(Type.String(), { maxItems: 500 }) });
export type WorkspaceSizesRequest = Static<typeof WorkspaceSizesRequest>;

export const WorkspaceSizesAnswer = Type.Object({
  folder: Type.String({ description: 'KSI_DIR of the worker. Workers of one host may share it.' }),
  sizes: Type.Array(Type.Object({ session_id: Type.String(), bytes: Type.Integer({ minimum: 0 }) }), {
    description: 'The folders that were measured in time. A session without a folder has 0 bytes.',
  }),
});
export type WorkspaceSizesAnswer = Static<typeof WorkspaceSizesAnswer>;
