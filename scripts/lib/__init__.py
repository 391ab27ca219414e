"""The modules of the commands in `scripts/`. Standard library only, so that Python 3.11 or newer is all they need.

    console     what a person sees: steps, table, colours
    tools       fetches pinned tools into .tools/
    processes   runs programs, which end with the command
    programs    the commands that are programs of tests/: `scripts/dev`, `scripts/soak`, `scripts/bench`
    report      a refresh report in words
    checks      lints of the template, the Kubernetes manifests and the licences of dependencies
    parameters, account, packages   what `scripts/deploy` is made of: parameters and their refusals, the AWS account, a release
    create_stack, fetch_packages, translate   the template for the console: what it is made of, the function in it, the transform
    aws_stand_in, aws_names   a stand-in for AWS in tests
    suite, deploy, release   the commands `scripts/test`, `deploy` and `release`
"""
