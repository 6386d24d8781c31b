"""The command `pixtell`: a thin shell around the package, one file a command.

    main.py       the door: the commands together, and how any error ends the program
    options.py    the options that commands share, each written once
    batches.py    inputs -> batches -> results as they come, whatever happens to single inputs
    output.py     results on stdout; everything else on stderr
    caption.py · ask.py · classify.py · models.py · convert.py · verify.py · train.py

The surprising thing: nothing heavy is imported at the top of these files, not even by way of another module of ours,
so that `pixtell --help` answers at once.
"""
