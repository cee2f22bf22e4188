/* Virtual tables over a source of rows that is not SQLite's.
 *
 * Worker thread. A source gives rows as cells, some at a time, through the hooks of
 * its module; columns are then read out of the cells without asking it. Hidden
 * columns behind the others are its parameters: `name(1, 2)` in SQL, or an equation
 * in WHERE. */

#ifndef CSQ_VTABLE_H
#define CSQ_VTABLE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/cells.h"

/* One bit of an int says of each parameter whether it was given. */
enum { CSQ_VTABLE_PARAMETERS = 30 };

/* What a table looks like. */
struct csq_shape {
    char *sql;       /* CREATE TABLE x(…), from sqlite3_malloc() */
    int columns;     /* the visible ones */
    int parameters;  /* the hidden ones behind them */
    int rowid;       /* the column that is the rowid, -1: rows are counted */
    bool directonly; /* not in views and triggers: SQLITE_VTAB_DIRECTONLY */
};

/* One row to be changed. */
struct csq_change {
    enum { CSQ_DELETE, CSQ_INSERT, CSQ_UPDATE } kind;
    sqlite3_value *rowid;     /* of the row there is; not CSQ_INSERT */
    sqlite3_value *new_rowid; /* that it is to have, NULL in SQL: none is asked for */
    sqlite3_value **values;   /* the visible columns; not CSQ_DELETE */
};

/* Each of these that fails returns an SQLite code with *message from
 * sqlite3_malloc(), or NULL. */
struct csq_vtable_hooks {
    /* Connects a table made with `count` arguments, and says what it looks like. */
    int (*connect)(void *module, const char *const *arguments, int count, struct csq_shape *shape,
                   void **table, char **message);
    void (*disconnect)(void *table);

    /* Begins to read. `given` has a bit for each of the parameters that has a value
     * in `values`, which are in order. */
    int (*scan)(void *table, unsigned given, sqlite3_value **values, void **scan, char **message);

    /* Puts some more rows, each as many cells as there are columns; none: that was
     * all. When it fails, the rows put before are still rows. */
    int (*fill)(void *scan, struct csq_strip *rows, char **message);
    void (*end)(void *scan);

    /* Changes a row. *rowid: of the one inserted. */
    int (*change)(void *table, const struct csq_change *change, sqlite3_int64 *rowid,
                  char **message);

    /* The module is not registered any more, and none of its tables is left. */
    void (*release)(void *module);
};

/* How a module can be used. */
enum csq_vtable_kind {
    CSQ_EPONYMOUS, /* by its own name alone */
    CSQ_CREATABLE, /* also by CREATE VIRTUAL TABLE */
    CSQ_WRITABLE,  /* also by INSERT, UPDATE and DELETE */
};

/* Begins what a module's own structure begins with. */
struct csq_module {
    const struct csq_vtable_hooks *hooks;
    int references; /* SQLite's, and each table's: SQLite 3.40 lets go of the module first */
};

/* Registers `module`, which it takes also when it fails; NULL: removes what has the
 * name. Returns an SQLite code. */
int csq_vtable_register(sqlite3 *db, const char *name, enum csq_vtable_kind kind,
                        struct csq_module *module);

#endif
