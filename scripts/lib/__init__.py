"""The modules of the commands in `scripts/`. Standard library only, so that Python 3.9 or newer is all they need.

    console     what a person sees: steps, table, prefixed log lines, colours
    tools       fetches pinned tools into .tools/
    processes   starts children and makes sure that none outlives the command
    guardian    the same, for when the command itself is killed
    servers     the S3 server and the OCI registry
    s3          signed requests, enough to ask an S3 server for a bucket and to make one
    snapshot    notices changes in a folder
    functions   the two functions, under the Lambda emulator or as plain HTTP servers
    report      a refresh report in words
    programs    builds, servers and start of the programs of `tests/` that measure others
    checks      lints of the template, the Kubernetes manifests and the licences of dependencies
    parameters, account, packages   what `scripts/deploy` is made of: parameters and their refusals, the AWS account, a release
    create_stack, fetch_packages, translate   the template for the console: what it is made of, the function in it, the transform
    aws_stand_in, aws_names   a stand-in for AWS in tests
    dev, suite, soak, bench, deploy, release   the commands of these names in `scripts/`
"""
