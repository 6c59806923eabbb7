"""The engine that trains the models of all lines: a line brings a task (task.py), `train` (trainer.py) does the rest.

    with ranks_of_job(gpus) as ranks:
        result = train(task, settings.training, ranks, checkpoints, "scripts.LINE.STAGE", data_files, settings)
        if ranks.first:
            save(result.model)

One subject a module: settings, task (what a line brings), order and loader (which sample when), precision, optimizer,
schedule, distributed (processes), evaluation, identity, checkpoint and state (what is kept), interruption (signals and
time limits), memory (too little of it), throughput, metrics (where figures go), trainer (the loop).
"""
