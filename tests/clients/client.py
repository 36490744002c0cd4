"""A client that shares nothing with Curfew but the protos: Python, gRPC's own library, stubs made at run time.

    client.py PART CONTEXT PROTO_DIR

PART is one of the functions below; CONTEXT is a context file as `curfew` reads it. What the part saw goes to stdout as
one JSON object, for the test that started it to judge.
"""

import contextlib
import importlib
import json
import pathlib
import sys
import tempfile
import tomllib

import grpc
import grpc_tools
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status
from grpc_tools import protoc

# Far longer than any call here takes, so that a controller that does not answer fails the test and does not hang it.
PATIENCE_S = 60


def main():
    part, context, proto_dir = sys.argv[1:]
    with tempfile.TemporaryDirectory() as stubs, connect(pathlib.Path(context)) as channel:
        make_stubs(pathlib.Path(proto_dir), stubs)
        seen = PARTS[part](channel)
    json.dump(seen, sys.stdout)


def connect(context_file):
    """A channel over mutual TLS, with what the current context says."""
    contexts = tomllib.loads(context_file.read_text())
    context = contexts["contexts"][contexts["current"]]

    def read(name):
        return (context_file.parent / context[name]).read_bytes()

    credentials = grpc.ssl_channel_credentials(read("ca"), read("key"), read("certificate"))
    return grpc.secure_channel(context["endpoint"].removeprefix("https://"), credentials)


def make_stubs(proto_dir, stubs):
    """Compiles the operators' protos into `stubs` and makes them importable."""
    protos = sorted(str(path.relative_to(proto_dir)) for path in (proto_dir / "curfew/v1").glob("*.proto"))
    # Where grpcio-tools keeps the well-known types.
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    includes = [f"-I{proto_dir}", f"-I{well_known}"]
    if protoc.main(["protoc", *includes, f"--python_out={stubs}", f"--grpc_python_out={stubs}", *protos]) != 0:
        raise SystemExit("the protos do not compile with grpcio-tools")
    sys.path.insert(0, stubs)


def stub(name):
    return importlib.import_module(f"curfew.v1.{name}")


def operations(channel):
    return stub("operation_service_pb2"), stub("operation_service_pb2_grpc").OperationServiceStub(channel)


def fleet(channel):
    return stub("fleet_service_pb2"), stub("fleet_service_pb2_grpc").FleetServiceStub(channel)


def spec(**fields):
    return json_format.ParseDict(fields, stub("operation_pb2").OperationSpec())


def plain(message):
    """The message as protobuf's JSON, with defaults, so that a zero is a fact and not an absence."""
    return json_format.MessageToDict(message, always_print_fields_with_no_presence=True)


def describe(channel):
    """What a client learns of a server it knows nothing of."""
    database = ProtoReflectionDescriptorDatabase(channel)
    service = DescriptorPool(database).FindServiceByName("curfew.v1.OperationService")
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S)
    return {
        "services": sorted(database.get_services()),
        "methods": {method.name: method.input_type.full_name for method in service.methods},
        "health": health_pb2.HealthCheckResponse.ServingStatus.Name(health.status),
    }


def operate(channel):
    """Starts an operation, asks for it once more, and watches it to its end."""
    messages, service = operations(channel)
    request = messages.StartOperationRequest(spec=spec(selection={"all": True}, reason="exams"), request_id="python-1")
    started = service.StartOperation(request, timeout=PATIENCE_S).operation
    again = service.StartOperation(request, timeout=PATIENCE_S).operation
    request.spec.reason = "another reason"
    with refused() as other_body:
        service.StartOperation(request, timeout=PATIENCE_S)

    watch = messages.WatchOperationRequest(operation_id=started.id, include_tasks=True)
    revisions, percents, tasks = [], [], {}
    for change in service.WatchOperation(watch, timeout=PATIENCE_S):
        revisions.append(change.operation.revision)
        percents.append(change.operation.percent_completed)
        tasks.update((task.id, plain(task)) for task in change.tasks)
    return {
        "started": started.id,
        "again": again.id,
        "other_body": other_body,
        "revisions": revisions,
        "percents": percents,
        "operation": plain(change.operation),
        "tasks": tasks,
    }


def cancel(channel):
    """Cancels an operation whose first task has begun and whose others wait, then reads what became of each."""
    messages, service = operations(channel)
    request = messages.StartOperationRequest(spec=spec(selection={"all": True}, maxInFlight={"number": 1}))
    operation_id = service.StartOperation(request, timeout=PATIENCE_S).operation.id

    ending = stub("task_pb2").STAGE_ENDING
    watch = messages.WatchOperationRequest(operation_id=operation_id, include_tasks=True)
    changes = service.WatchOperation(watch, timeout=PATIENCE_S)
    next(change for change in changes if any(task.stage >= ending for task in change.tasks))
    changes.cancel()

    cancelled = messages.CancelOperationRequest(operation_id=operation_id, reason="not now")
    answer = service.CancelOperation(cancelled, timeout=PATIENCE_S).operation
    wait = messages.WaitOperationRequest(operation_id=operation_id)
    ended = service.WaitOperation(wait, timeout=PATIENCE_S).operation
    tasks = service.ListTasks(messages.ListTasksRequest(operation_id=operation_id), timeout=PATIENCE_S).tasks
    with refused() as once_more:
        service.CancelTask(messages.CancelTaskRequest(task_id=tasks[0].id), timeout=PATIENCE_S)
    return {
        "answer": plain(answer),
        "ended": plain(ended),
        "tasks": [plain(task) for task in tasks],
        "once_more": once_more,
    }


def treat(channel):
    """Tells people first, means only disconnected sessions, forces what stays, and keeps new logons out for a while."""
    messages, service = operations(channel)
    asked = spec(
        selection={"all": True},
        sessions={"state": "SESSION_STATE_FILTER_DISCONNECTED"},
        notice={"text": "Patching in {seconds} s", "grace": "3s"},
        forceAfter="1s",
        drain={"drainFor": "600s"},
    )
    started = service.StartOperation(messages.StartOperationRequest(spec=asked), timeout=PATIENCE_S).operation
    wait = messages.WaitOperationRequest(operation_id=started.id)
    ended = service.WaitOperation(wait, timeout=PATIENCE_S).operation
    tasks = service.ListTasks(messages.ListTasksRequest(operation_id=started.id), timeout=PATIENCE_S).tasks

    messages, service = fleet(channel)
    drains = service.ListDrains(messages.ListDrainsRequest(), timeout=PATIENCE_S).drains
    lift = messages.UndrainGuestRequest(guest=drains[0].guest_id, operation_id=started.id)
    left = service.UndrainGuest(lift, timeout=PATIENCE_S).drains
    found = messages.ListSessionsRequest(filter=json_format.ParseDict(
        {"state": "SESSION_STATE_FILTER_DISCONNECTED"}, stub("operation_pb2").SessionFilter()
    ))
    answers = service.ListSessions(found, timeout=PATIENCE_S)
    return {
        "spec": plain(ended.spec),
        "tasks": {task.guest_name: plain(task) for task in tasks},
        "drains": [plain(drain) for drain in drains],
        "left": [plain(drain) for drain in left],
        "found": {answer.guest_name: [len(answer.sessions), answer.left_out_count] for answer in answers},
    }


def misask(channel):
    """Asks for what cannot be, in two ways."""
    messages, service = operations(channel)
    with refused() as nothing:
        service.StartOperation(messages.StartOperationRequest(), timeout=PATIENCE_S)
    wrong = spec(selection={"labelSelector": "env in (lab"}, taskTimeout="0.5s", notice={"grace": "1s", "repeat": "2s"})
    with refused() as several:
        service.StartOperation(messages.StartOperationRequest(spec=wrong), timeout=PATIENCE_S)
    return {"nothing": nothing, "several": several}


@contextlib.contextmanager
def refused():
    """A dictionary that has, after the block, the status the call in it was refused with, and the details."""
    seen = {}
    try:
        yield seen
    except grpc.RpcError as error:
        seen["code"] = error.code().name
        seen["message"] = error.details()
        status = rpc_status.from_call(error)
        for detail in status.details if status else []:
            bad_request, info = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo()
            if detail.Unpack(bad_request):
                seen["fields"] = {one.field: one.description for one in bad_request.field_violations}
            elif detail.Unpack(info):
                seen["info"] = {"reason": info.reason, "domain": info.domain, **info.metadata}


PARTS = {part.__name__: part for part in (describe, operate, cancel, treat, misask)}

if __name__ == "__main__":
    main()
