import os

import httpx

from models import Problem, SpawnAccepted, SpawnRequest, Task

client = httpx.Client(
    base_url=os.environ["KSI_URL"],
    headers={"authorization": f"Bearer {os.environ['KSI_TOKEN']}"},
    timeout=90,
)
body = SpawnRequest(prompt="hello").model_dump(mode="json", exclude_unset=True)
accepted = SpawnAccepted.model_validate(client.post("/spawn", json=body).json())
done = Task.model_validate(client.post("/spawn", params={"wait": 60}, json=body).json())
assert done.task_id != accepted.task_id
task = Task.model_validate(client.get(f"/tasks/{done.task_id}").json())
assert task.status == "completed", task.status
refused = Problem.model_validate(client.get("/tasks/0").json())
assert refused.code == "invalid_request", refused
print(task.task_id, task.status, task.output)
