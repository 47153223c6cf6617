import os

from httpx import Timeout
from ksi_client import AuthenticatedClient
from ksi_client.api.tasks import spawn, task
from ksi_client.models import Problem, SpawnRequest, Task

client = AuthenticatedClient(base_url=os.environ["KSI_URL"], token=os.environ["KSI_TOKEN"], timeout=Timeout(90))
done = spawn.sync(client=client, body=SpawnRequest(prompt="hello"), wait=60)
assert isinstance(done, Task), done
read = task.sync(done.task_id, client=client)
assert isinstance(read, Task), read
assert read.status == "completed", read.status
refused = task.sync("0", client=client)
assert isinstance(refused, Problem) and refused.code == "invalid_request", refused
print(read.task_id, read.status, read.output)
