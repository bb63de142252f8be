/* The room of the keys, for the target that fuzzes records: what Cython makes of two rooms does not go together in one file. */

typedef struct { const char* name; void *suite, *cipher, *read, *set, *turn; } Keys;

Keys keys_with(void* openssl, int suite);        /* its functions, and the name of one of its suites */
