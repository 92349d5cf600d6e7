"""Teachers, students, signals, losses and training; knows nothing of searches or of Ray.

Where things live, from a worker's door inwards:

* jobs: `jobs`, `stages`, `teachers`, `workspace`, `staff`, `reading`, `audit`, `black_box`,
  `phases`;
* training: `fitting`, `training`, `trainer`, `module`, `balance`, `sampling`, `conditions`,
  `checkpoints`, `memory`, `stopping`, `progress`, `samples`;
* losses: `losses/`, `divergences`, `several`, `views`, `choices`;
* what teachers tell: `signals`, `attention`, `top_logits`, `mixture`, `group`, `capture`, `store`,
  `supply`, `sources`;
* models: `loading`, `students`, `prune`, `importance`, `export`, `card`, `usage`;
* questions and answers: `data`, `tokenizing`, `passes`, `scoring`, `generation`, `evaluate`.
"""
