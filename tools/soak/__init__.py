"""A soak: mixed load from several processes on two files, and an invariant that must hold.

Accounts move money among themselves, so that their sum never changes. Meanwhile tasks are
cancelled, processes killed, disks full and connections forgotten. Every transfer that was
acknowledged is written down, and looked for at the end. `make soak MINUTES=10`, or
`python -m soak --minutes 10` in tools/.

    bank      the schema, the transfers and the checks
    ledger    what a process has been promised, in a file that survives it
    tally     counting operations and errors, and how long the slowest has been running
    process   what every process is made of: its options, its end, and what its tasks share
    other     one process of the standard sqlite3 module's
    pools     pools, and transactions of many tasks
    watch     subscriptions
    tenants   a directory of many databases
    faults    what goes wrong on purpose
    load      one process of csqlite's
    conductor starts, watches, kills and stops the processes
    verdict   the final check, and the report
"""
