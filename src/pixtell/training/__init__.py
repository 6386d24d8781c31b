"""Batches -> better weights, by a run file, on one process or many, through any death.

a run file                 recipe.py writes one for who has none; run.py puts a training together from it
  |  run_file.py · config.py      TOML, overrides, contradictions     -> a RunConfig for each stage (stages.py)
  |  start.py (small · clip)      a checkpoint, or published parts    -> GitModel
  |  trainee.py                   optim · freeze · lora · the mean    -> what learns, wrapped by dist.py
  v  loop.py                      look, save, stop, learn, log        -> a better model

step.py = one turn: loss.py (texts as they are) or scst.py (texts that are rewarded)      state.py = what survives
validation.py · held_out.py = what is looked at on the way      best.py = the best of it
log.py · report.py = what one sees of it
cost.py · dry_run.py = what a run would be
"""
