/* The half of a virtual table that needs no source. Values are handed to SQLite as
 * copies: it may keep one beyond the next row, by which its cell is gone. */

#include "engine/vtable.h"

#include <string.h>

#include "engine/alloc.h"

struct table {
    sqlite3_vtab base;
    struct csq_module *module;
    void *source;
    int columns;
    int parameters;
    int rowid;
};

struct cursor {
    sqlite3_vtab_cursor base;
    void *scan;             /* NULL: none */
    struct csq_strip rows;  /* as the source gave them */
    struct csq_reader next; /* the row behind the current one */
    size_t left;            /* rows there that were not read */
    bool eof;
    sqlite3_int64 number; /* of the current row, from 1 */
    int code;             /* the source has failed, behind the rows that are left */
    char *message;
    sqlite3_value **given; /* the parameters' values, NULL where there is none */
    struct csq_cell *cells[]; /* of the current row */
};

static struct table *
table_of(sqlite3_vtab_cursor *cursor)
{
    return (struct table *)cursor->pVtab;
}

/* Lets a call fail with `message`, which it takes. */
static int
fail(sqlite3_vtab *vtab, int rc, char *message)
{
    sqlite3_free(vtab->zErrMsg);
    vtab->zErrMsg = message;
    return rc;
}

/* Takes a reference. `module` is a struct csq_module *. */
static void
module_put(void *module)
{
    struct csq_module *counted = module;

    if (--counted->references == 0) {
        counted->hooks->release(counted);
    }
}

/* -- tables ------------------------------------------------------------------- */

static int
x_disconnect(sqlite3_vtab *vtab)
{
    struct table *table = (struct table *)vtab;

    table->module->hooks->disconnect(table->source);
    module_put(table->module);
    sqlite3_free(table);
    return SQLITE_OK;
}

static int
x_connect(sqlite3 *db, void *module, int count, const char *const *arguments, sqlite3_vtab **vtab,
          char **message)
{
    const struct csq_vtable_hooks *hooks = ((struct csq_module *)module)->hooks;
    struct csq_shape shape = {0};
    struct table *table = sqlite3_malloc(sizeof *table);
    int rc = SQLITE_NOMEM;

    /* The first three are the names of the module, the schema and the table. */
    if (table != NULL) {
        memset(table, 0, sizeof *table);
        rc = hooks->connect(module, arguments + 3, count - 3, &shape, &table->source, message);
    }
    if (rc != SQLITE_OK) {
        sqlite3_free(table);
        return rc;
    }
    table->module = module;
    table->module->references++;
    table->columns = shape.columns;
    table->parameters = shape.parameters;
    table->rowid = shape.rowid;
    rc = sqlite3_declare_vtab(db, shape.sql);
    if (rc == SQLITE_OK && shape.directonly) {
        rc = sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
    }
    if (rc != SQLITE_OK) {
        *message = sqlite3_mprintf("%s", sqlite3_errmsg(db));
        x_disconnect(&table->base);
    } else {
        *vtab = &table->base;
    }
    sqlite3_free(shape.sql);
    return rc;
}

/* An equation with a parameter is an argument. One that has no value yet asks for
 * another order of the join. */
static int
x_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
    const struct table *table = (const struct table *)vtab;
    int which[CSQ_VTABLE_PARAMETERS];
    unsigned given = 0;
    int arguments = 0;

    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *constraint = &info->aConstraint[i];
        int parameter = constraint->iColumn - table->columns;

        if (parameter < 0 || parameter >= table->parameters ||
            constraint->op != SQLITE_INDEX_CONSTRAINT_EQ) {
            continue;
        }
        if (!constraint->usable) {
            return SQLITE_CONSTRAINT;
        }
        if ((given & 1u << parameter) == 0) {
            given |= 1u << parameter;
            which[parameter] = i;
        }
    }
    for (int parameter = 0; parameter < table->parameters; parameter++) {
        if ((given & 1u << parameter) != 0) {
            info->aConstraintUsage[which[parameter]].argvIndex = ++arguments;
            info->aConstraintUsage[which[parameter]].omit = 1;
        }
    }
    info->idxNum = (int)given;
    info->estimatedCost = 1e6 / (1 + arguments);
    info->estimatedRows = 100000 / (1 + arguments);
    return SQLITE_OK;
}

/* -- reading ------------------------------------------------------------------ */

static int
x_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **cursor)
{
    const struct table *table = (const struct table *)vtab;
    size_t cells = (size_t)table->columns * sizeof(struct csq_cell *);
    size_t given = (size_t)table->parameters * sizeof(sqlite3_value *);
    struct cursor *fresh = csq_calloc(sizeof *fresh + cells + given);

    if (fresh == NULL) {
        return SQLITE_NOMEM;
    }
    fresh->given = (sqlite3_value **)(fresh->cells + table->columns);
    fresh->eof = true;
    *cursor = &fresh->base;
    return SQLITE_OK;
}

/* Ends what the cursor reads. */
static void
rewind_cursor(struct cursor *cursor)
{
    const struct table *table = table_of(&cursor->base);

    if (cursor->scan != NULL) {
        table->module->hooks->end(cursor->scan);
        cursor->scan = NULL;
    }
    csq_strip_clear(&cursor->rows);
    for (int i = 0; i < table->parameters; i++) {
        sqlite3_value_free(cursor->given[i]);
        cursor->given[i] = NULL;
    }
    sqlite3_free(cursor->message);
    cursor->message = NULL;
    cursor->code = SQLITE_OK;
    cursor->left = 0;
    cursor->number = 0;
    cursor->eof = true;
}

static int
x_close(sqlite3_vtab_cursor *cursor)
{
    rewind_cursor((struct cursor *)cursor);
    csq_free(cursor);
    return SQLITE_OK;
}

/* Asks the source for rows when all that it gave are read. An error of the source
 * waits behind the rows that it gave before. */
static int
refill(struct cursor *cursor)
{
    const struct table *table = table_of(&cursor->base);
    char *message = cursor->message;
    int rc = cursor->code;

    if (cursor->left > 0) {
        return SQLITE_OK;
    }
    cursor->code = SQLITE_OK;
    cursor->message = NULL;
    csq_strip_clear(&cursor->rows);
    memset(&cursor->next, 0, sizeof cursor->next);
    if (rc == SQLITE_OK && cursor->scan != NULL) {
        rc = table->module->hooks->fill(cursor->scan, &cursor->rows, &message);
        cursor->left = cursor->rows.rows;
        if (cursor->left == 0 || rc != SQLITE_OK) {
            table->module->hooks->end(cursor->scan);
            cursor->scan = NULL;
        }
        if (cursor->left > 0 && rc != SQLITE_OK) {
            cursor->code = rc;
            cursor->message = message;
            return SQLITE_OK;
        }
    }
    return rc == SQLITE_OK ? rc : fail(cursor->base.pVtab, rc, message);
}

static int
x_next(sqlite3_vtab_cursor *vtab_cursor)
{
    struct cursor *cursor = (struct cursor *)vtab_cursor;
    int rc = refill(cursor);

    cursor->eof = cursor->left == 0;
    if (rc == SQLITE_OK && !cursor->eof) {
        cursor->left--;
        cursor->number++;
        for (int i = 0; i < table_of(vtab_cursor)->columns; i++) {
            cursor->cells[i] = csq_strip_read(&cursor->rows, &cursor->next);
        }
    }
    return rc;
}

static int
x_filter(sqlite3_vtab_cursor *vtab_cursor, int given, const char *unused, int count,
         sqlite3_value **values)
{
    struct cursor *cursor = (struct cursor *)vtab_cursor;
    const struct table *table = table_of(vtab_cursor);
    char *message = NULL;
    int rc;

    (void)unused;
    rewind_cursor(cursor);
    for (int i = 0, argument = 0; i < table->parameters && argument < count; i++) {
        if (((unsigned)given & 1u << i) != 0) {
            cursor->given[i] = sqlite3_value_dup(values[argument++]);
            if (cursor->given[i] == NULL) {
                return SQLITE_NOMEM;
            }
        }
    }
    rc = table->module->hooks->scan(table->source, (unsigned)given, values, &cursor->scan,
                                    &message);
    if (rc != SQLITE_OK) {
        cursor->scan = NULL;
        return fail(vtab_cursor->pVtab, rc, message);
    }
    return x_next(vtab_cursor);
}

static int
x_eof(sqlite3_vtab_cursor *cursor)
{
    return ((struct cursor *)cursor)->eof;
}

static void
give_cell(sqlite3_context *sql_call, const struct csq_cell *cell)
{
    switch (cell->type) {
    case CSQ_INTEGER:
        sqlite3_result_int64(sql_call, cell->value.integer);
        break;
    case CSQ_FLOAT:
        sqlite3_result_double(sql_call, cell->value.real);
        break;
    case CSQ_TEXT:
        sqlite3_result_text64(sql_call, cell->value.bytes, cell->size, SQLITE_TRANSIENT,
                              SQLITE_UTF8);
        break;
    case CSQ_BLOB:
        sqlite3_result_blob64(sql_call, cell->value.bytes, cell->size, SQLITE_TRANSIENT);
        break;
    default:
        sqlite3_result_null(sql_call);
        break;
    }
}

static int
x_column(sqlite3_vtab_cursor *vtab_cursor, sqlite3_context *sql_call, int column)
{
    const struct cursor *cursor = (const struct cursor *)vtab_cursor;
    const struct table *table = table_of(vtab_cursor);
    int parameter = column - table->columns;

    if (parameter < 0) {
        give_cell(sql_call, cursor->cells[column]);
    } else if (parameter < table->parameters && cursor->given[parameter] != NULL) {
        sqlite3_result_value(sql_call, cursor->given[parameter]);
    }
    return SQLITE_OK;
}

static int
x_rowid(sqlite3_vtab_cursor *vtab_cursor, sqlite3_int64 *rowid)
{
    const struct cursor *cursor = (const struct cursor *)vtab_cursor;
    const struct table *table = table_of(vtab_cursor);

    if (table->rowid < 0) {
        *rowid = cursor->number;
        return SQLITE_OK;
    }
    if (cursor->cells[table->rowid]->type != CSQ_INTEGER) {
        return fail(vtab_cursor->pVtab, SQLITE_MISMATCH,
                    sqlite3_mprintf("the column that is the rowid holds no integer"));
    }
    *rowid = cursor->cells[table->rowid]->value.integer;
    return SQLITE_OK;
}

/* -- writing ------------------------------------------------------------------ */

static int
x_update(sqlite3_vtab *vtab, int count, sqlite3_value **values, sqlite3_int64 *rowid)
{
    const struct table *table = (const struct table *)vtab;
    struct csq_change change = {.kind = CSQ_DELETE, .rowid = values[0]};
    char *message = NULL;
    int rc;

    if (count > 1) {
        change.kind = sqlite3_value_type(values[0]) == SQLITE_NULL ? CSQ_INSERT : CSQ_UPDATE;
        change.new_rowid = values[1];
        change.values = values + 2;
    }
    rc = table->module->hooks->change(table->source, &change, rowid, &message);
    return rc == SQLITE_OK ? rc : fail(vtab, rc, message);
}

/* -- registering -------------------------------------------------------------- */

int
csq_vtable_register(sqlite3 *db, const char *name, enum csq_vtable_kind kind,
                    struct csq_module *module)
{
    /* Where creating is the same as connecting, the module has a table of its own
     * name, too. */
    static const sqlite3_module kinds[] = {
        [CSQ_EPONYMOUS] = {.xConnect = x_connect,
                           .xBestIndex = x_best_index,
                           .xDisconnect = x_disconnect,
                           .xOpen = x_open,
                           .xClose = x_close,
                           .xFilter = x_filter,
                           .xNext = x_next,
                           .xEof = x_eof,
                           .xColumn = x_column,
                           .xRowid = x_rowid},
        [CSQ_CREATABLE] = {.xCreate = x_connect,
                           .xConnect = x_connect,
                           .xBestIndex = x_best_index,
                           .xDisconnect = x_disconnect,
                           .xDestroy = x_disconnect,
                           .xOpen = x_open,
                           .xClose = x_close,
                           .xFilter = x_filter,
                           .xNext = x_next,
                           .xEof = x_eof,
                           .xColumn = x_column,
                           .xRowid = x_rowid},
        [CSQ_WRITABLE] = {.xCreate = x_connect,
                          .xConnect = x_connect,
                          .xBestIndex = x_best_index,
                          .xDisconnect = x_disconnect,
                          .xDestroy = x_disconnect,
                          .xOpen = x_open,
                          .xClose = x_close,
                          .xFilter = x_filter,
                          .xNext = x_next,
                          .xEof = x_eof,
                          .xColumn = x_column,
                          .xRowid = x_rowid,
                          .xUpdate = x_update},
    };

    if (module == NULL) {
        return sqlite3_create_module_v2(db, name, NULL, NULL, NULL);
    }
    module->references = 1;
    return sqlite3_create_module_v2(db, name, &kinds[kind], module, module_put);
}
