"""langgraph-checkpoint-sqlite: checkpoints of a thread, written, read and listed."""

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver


def config(step=None):
    configurable = {"thread_id": "conversation", "checkpoint_ns": ""}
    if step is not None:
        configurable["checkpoint_id"] = step
    return {"configurable": configurable}


async def main(path):
    async with AsyncSqliteSaver.from_conn_string(path) as saver:
        assert await saver.aget_tuple(config()) is None
        parent = config()
        written = []
        for step in range(3):
            checkpoint = empty_checkpoint()
            checkpoint["channel_values"] = {"step": step, "messages": ["hello"] * step}
            metadata = {"source": "loop", "step": step, "writes": {}}
            parent = await saver.aput(parent, checkpoint, metadata, {})
            await saver.aput_writes(parent, [("channel", {"value": step})], task_id=f"task {step}")
            written.append(checkpoint["id"])

        latest = await saver.aget_tuple(config())
        assert latest.checkpoint["id"] == written[-1]
        assert latest.metadata["step"] == 2
        assert latest.pending_writes == [("task 2", "channel", {"value": 2})]
        assert latest.parent_config["configurable"]["checkpoint_id"] == written[1]

        listed = [item.checkpoint["id"] async for item in saver.alist(config())]
        assert listed == written[::-1]
        filtered = [
            item.metadata["step"] async for item in saver.alist(config(), filter={"step": 1})
        ]
        assert filtered == [1]

    async with AsyncSqliteSaver.from_conn_string(path) as saver:
        assert (await saver.aget_tuple(config(written[0]))).metadata["step"] == 0
        await saver.adelete_thread("conversation")
        assert await saver.aget_tuple(config()) is None
