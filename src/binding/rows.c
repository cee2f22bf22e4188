/* A row is a tuple; a row factory is given a cursor and that tuple. The cursor is
 * a real sqlite3.Cursor (csqlite/rows.py) that has the description and nothing
 * else, so that sqlite3.Row, its subclasses and any factory written for the
 * sqlite3 module take it. One such cursor serves all rows of the same columns. */

#include "binding/rows.h"

#include "binding/convert.h"
#include "bridge/stop.h"
#include "engine/clock.h"

enum {
    PARSE_COLNAMES = 2, /* sqlite3.PARSE_COLNAMES */
    PARSE_DECLTYPES = 1,
    ROW_CURSORS_MAX = 256, /* sets of columns that are remembered */
    ROWS_BETWEEN_LOOKS = 16,
};

/* -- one row ------------------------------------------------------------------ */

static PyObject *
text_factory_of(const CursorObject *cursor)
{
    return cursor->plain ? (PyObject *)&PyUnicode_Type : cursor->connection->text_factory;
}

static PyObject *
value_of(CursorObject *cursor, const struct csq_cell *cell, int column)
{
    switch (cell->type) {
    case CSQ_INTEGER:
        return PyLong_FromLongLong(cell->value.integer);
    case CSQ_FLOAT:
        return PyFloat_FromDouble(cell->value.real);
    case CSQ_TEXT:
        return convert_text(cursor->state, cell, text_factory_of(cursor),
                            cursor->columns->column[column].name);
    case CSQ_BLOB:
        return PyBytes_FromStringAndSize(cell->value.bytes, (Py_ssize_t)cell->size);
    default:
        return Py_NewRef(Py_None);
    }
}

/* What the column's converter, if it has one, makes of the bytes in `cell`. */
static PyObject *
converted(PyObject *converter, const struct csq_cell *cell)
{
    PyObject *bytes;
    PyObject *value;

    if (cell->type == CSQ_NULL) {
        return Py_NewRef(Py_None);
    }
    bytes = PyBytes_FromStringAndSize(cell->value.bytes, (Py_ssize_t)cell->size);
    if (bytes == NULL) {
        return NULL;
    }
    value = PyObject_CallOneArg(converter, bytes);
    Py_DECREF(bytes);
    return value;
}

/* Reads the cells of one row. On failure too, the reader stands behind it. */
static PyObject *
take_values(CursorObject *cursor, struct csq_strip *strip, struct csq_reader *reader)
{
    const struct csq_columns *columns = cursor->columns;
    bool texts = cursor->connection->detect_types != 0;
    PyObject *row = PyTuple_New(columns->count);

    for (int i = 0; i < columns->count; i++) {
        const struct csq_cell *cell = csq_strip_read(strip, reader);
        PyObject *converter = Py_None;
        PyObject *value = NULL;

        if (texts && columns->column[i].typed) {
            const struct csq_cell *bytes = csq_strip_read(strip, reader);

            if (cursor->converters != NULL) {
                converter = PyTuple_GET_ITEM(cursor->converters, i);
                cell = converter == Py_None ? cell : bytes;
            }
        }
        if (row != NULL) {
            value = converter == Py_None ? value_of(cursor, cell, i) : converted(converter, cell);
            if (value == NULL) {
                Py_CLEAR(row);
            } else {
                PyTuple_SET_ITEM(row, i, value);
            }
        }
    }
    strip->rows--;
    if (row != NULL && cursor->converters == NULL &&
        text_factory_of(cursor) == (PyObject *)&PyUnicode_Type) {
        /* Numbers, str and bytes refer to nothing: the garbage collector, which would
         * find this out later, need not look at all the rows of a large result. */
        PyObject_GC_UnTrack(row);
    }
    return row;
}

/* What a row factory gets as its cursor, from csqlite/rows.py. */
static PyObject *
row_cursor_of(struct module_state *state, PyObject *names)
{
    PyObject *made = PyDict_GetItemWithError(state->row_cursors, names);
    PyObject *make;

    if (made != NULL || PyErr_Occurred()) {
        return Py_XNewRef(made);
    }
    if (PyDict_GET_SIZE(state->row_cursors) >= ROW_CURSORS_MAX) {
        PyDict_Clear(state->row_cursors);
    }
    make = module_import("csqlite.rows", "row_cursor");
    if (make == NULL) {
        return NULL;
    }
    made = PyObject_CallOneArg(make, names);
    Py_DECREF(make);
    if (made != NULL && PyDict_SetItem(state->row_cursors, names, made) < 0) {
        Py_CLEAR(made);
    }
    return made;
}

static PyObject *
call_factory(PyObject *factory, PyObject *row_cursor, PyObject *values)
{
    PyObject *args[] = {row_cursor, values};
    PyObject *row = PyObject_Vectorcall(factory, args, 2, NULL);

    Py_DECREF(values);
    return row;
}

/* What user code raises is no sign that the rows, or an await, have come to their end. */
static PyObject *
refuse_stop(PyObject *row)
{
    if (row == NULL) {
        stop_refuse("a row");
    }
    return row;
}

PyObject *
rows_make(struct module_state *state, PyObject *factory, PyObject *names, PyObject *values)
{
    PyObject *row_cursor;
    PyObject *row;

    if (values == NULL || factory == Py_None) {
        return values;
    }
    row_cursor = row_cursor_of(state, names);
    if (row_cursor == NULL) {
        Py_DECREF(values);
        return NULL;
    }
    row = call_factory(factory, row_cursor, values);
    Py_DECREF(row_cursor);
    return refuse_stop(row);
}

/* Gives the names in the description, as a tuple. */
static PyObject *
names_of(CursorObject *cursor)
{
    PyObject *description = rows_description(cursor);
    PyObject *names;
    Py_ssize_t count;

    if (description == NULL) {
        return NULL;
    }
    count = PyTuple_GET_SIZE(description);
    names = PyTuple_New(count);
    for (Py_ssize_t i = 0; names != NULL && i < count; i++) {
        PyObject *item = PyTuple_GET_ITEM(description, i);

        PyTuple_SET_ITEM(names, i, Py_NewRef(PyTuple_GET_ITEM(item, 0)));
    }
    Py_DECREF(description);
    return names;
}

static int
find_row_cursor(CursorObject *cursor)
{
    PyObject *names;

    if (cursor->row_cursor != NULL) {
        return 0;
    }
    names = names_of(cursor);
    if (names == NULL) {
        return -1;
    }
    cursor->row_cursor = row_cursor_of(cursor->state, names);
    Py_DECREF(names);
    return cursor->row_cursor == NULL ? -1 : 0;
}

static PyObject *
make_row(CursorObject *cursor, struct csq_strip *strip, struct csq_reader *reader)
{
    struct csq_reader before = *reader;
    PyObject *values = take_values(cursor, strip, reader);
    PyObject *factory;
    PyObject *row;

    if (values == NULL) {
        /* As in the sqlite3 module, the next fetch tries the same row again. */
        *reader = before;
        strip->rows++;
        return NULL;
    }
    if (strip->rows == 0) {
        csq_strip_clear(strip);
        *reader = (struct csq_reader){NULL, NULL};
    }
    if (cursor->row_factory == Py_None) {
        return values;
    }
    if (find_row_cursor(cursor) < 0) {
        Py_DECREF(values);
        return NULL;
    }
    factory = Py_NewRef(cursor->row_factory);
    row = call_factory(factory, cursor->row_cursor, values);
    Py_DECREF(factory);
    return row;
}

static PyObject *
take_row(CursorObject *cursor, struct csq_strip *strip, struct csq_reader *reader)
{
    return refuse_stop(make_row(cursor, strip, reader));
}

PyObject *
rows_take(CursorObject *cursor, struct csq_strip *strip, struct csq_reader *reader)
{
    PyObject *row;

    line_hold(&cursor->line);
    row = take_row(cursor, strip, reader);
    line_release(&cursor->line);
    return row;
}

int
rows_fill(CursorObject *cursor, struct csq_strip *strip, struct csq_reader *reader,
          PyObject *list, Py_ssize_t limit, int64_t slice_end)
{
    int rows = 0;
    int rc = 0;

    line_hold(&cursor->line);
    while (rc == 0 && strip->rows > 0 && PyList_GET_SIZE(list) < limit) {
        PyObject *row = take_row(cursor, strip, reader);

        rc = row == NULL ? -1 : PyList_Append(list, row);
        Py_XDECREF(row);
        if (++rows % ROWS_BETWEEN_LOOKS == 0 && csq_now() >= slice_end) {
            break;
        }
    }
    line_release(&cursor->line);
    if (rc == 0) {
        csq_strip_trim(strip, reader);
    }
    return rc;
}

/* -- the description ---------------------------------------------------------- */

/* The name of a column: with PARSE_COLNAMES, without its "[type]". */
static PyObject *
column_name(const char *name, int detect_types)
{
    const char *bracket = detect_types & PARSE_COLNAMES ? strchr(name, '[') : NULL;
    Py_ssize_t size = (Py_ssize_t)strlen(name);

    if (bracket != NULL) {
        size = bracket - name;
        if (size > 0 && bracket[-1] == ' ') {
            size--;
        }
    }
    return PyUnicode_DecodeUTF8(name, size, "replace");
}

static PyObject *
describe(const struct csq_columns *columns, int detect_types)
{
    PyObject *description = PyTuple_New(columns->count);

    for (int i = 0; description != NULL && i < columns->count; i++) {
        PyObject *name = column_name(columns->column[i].name, detect_types);
        PyObject *item = NULL;

        if (name != NULL) {
            item = PyTuple_Pack(7, name, Py_None, Py_None, Py_None, Py_None, Py_None, Py_None);
            Py_DECREF(name);
        }
        if (item == NULL) {
            Py_CLEAR(description);
        } else {
            PyTuple_SET_ITEM(description, i, item);
        }
    }
    return description;
}

PyObject *
rows_description(CursorObject *cursor)
{
    if (cursor->columns == NULL) {
        return Py_NewRef(Py_None);
    }
    if (cursor->description == NULL) {
        cursor->description = describe(cursor->columns, cursor->connection->detect_types);
    }
    return Py_XNewRef(cursor->description);
}

/* -- converters --------------------------------------------------------------- */

/* The converter registered under the first `size` bytes of `key`, None if there
 * is none. */
static PyObject *
find_converter(struct module_state *state, const char *key, size_t size)
{
    PyObject *name = PyUnicode_DecodeUTF8(key, (Py_ssize_t)size, "replace");
    PyObject *upper;
    PyObject *converter;

    if (name == NULL) {
        return NULL;
    }
    upper = PyObject_CallMethodObjArgs(name, state->str_upper, NULL);
    Py_DECREF(name);
    if (upper == NULL) {
        return NULL;
    }
    converter = PyDict_GetItemWithError(state->converters, upper);
    Py_DECREF(upper);
    if (converter == NULL && PyErr_Occurred()) {
        return NULL;
    }
    return Py_NewRef(converter == NULL ? Py_None : converter);
}

/* The converter of a column: by "[type]" in its name, else by the first word of
 * its declared type. */
static PyObject *
converter_of(struct module_state *state, const struct csq_column *column, int detect_types)
{
    if (detect_types & PARSE_COLNAMES) {
        const char *open = strchr(column->name, '[');
        const char *close = open == NULL ? NULL : strchr(open, ']');

        if (close != NULL) {
            PyObject *converter = find_converter(state, open + 1, (size_t)(close - open - 1));

            if (converter != Py_None) {
                return converter;
            }
            Py_DECREF(converter);
        }
    }
    if (detect_types & PARSE_DECLTYPES && column->decltype != NULL) {
        return find_converter(state, column->decltype, strcspn(column->decltype, " ("));
    }
    return Py_NewRef(Py_None);
}

PyObject *
rows_converters(CursorObject *cursor)
{
    int detect_types = cursor->connection->detect_types;
    const struct csq_columns *columns = cursor->columns;
    PyObject *converters;

    if (detect_types == 0 || columns == NULL) {
        return NULL;
    }
    converters = PyTuple_New(columns->count);
    for (int i = 0; converters != NULL && i < columns->count; i++) {
        PyObject *converter = converter_of(cursor->state, &columns->column[i], detect_types);

        if (converter == NULL) {
            Py_CLEAR(converters);
        } else {
            PyTuple_SET_ITEM(converters, i, converter);
        }
    }
    return converters;
}

int
rows_take_result(CursorObject *self, RequestObject *request)
{
    struct csq_job *job = &request->job;

    cursor_forget(self);
    self->result = atomic_load_explicit(&job->result, memory_order_relaxed);
    self->columns = csq_columns_get(job->columns);
    self->converters = rows_converters(self);
    return self->converters == NULL && PyErr_Occurred() ? -1 : 0;
}
