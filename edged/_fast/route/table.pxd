# The state compiled: immutable, position-independent, in a sealed memory file that every worker maps. Built, mapped and
# looked up here. All references are offsets from the table's first byte.

from libc.stdint cimport int8_t, int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from edged._fast.base.view cimport View
from edged._fast.parse.head cimport Head
from edged._fast.route.layout cimport Text

cdef enum:
    TABLE_LAYOUT = 3

cdef enum:                       # Recipe.flags
    RECIPE_PLAIN = 1             # candidate on http listeners (openshift-routes.md 5.4)
    RECIPE_TLS = 2               # candidate where TLS was terminated here
    RECIPE_PASSTHROUGH = 4       # candidate by SNI, untouched
    RECIPE_REDIRECT = 8          # insecure policy Redirect
    RECIPE_REENCRYPT = 16        # TLS to the endpoints
    RECIPE_WILDCARD = 32
    RECIPE_EVALUATE = 64         # the value of some action is to be evaluated
    RECIPE_ADJUST_CASE = 128     # names of fields are spelled for the endpoint as the operator wants (openshift-routes.md 9.2)

cdef enum ForwardedMode:
    FORWARDED_APPEND = 0
    FORWARDED_REPLACE
    FORWARDED_IF_NONE
    FORWARDED_NEVER

cdef enum Algorithm:
    BALANCE_ROUNDROBIN = 0
    BALANCE_STATIC_RR
    BALANCE_LEASTCONN
    BALANCE_SOURCE
    BALANCE_URI
    BALANCE_URL_PARAM
    BALANCE_HDR
    BALANCE_RANDOM
    BALANCE_FIRST

cdef enum HashFunction:
    HASH_SDBM = 0
    HASH_DJB2
    HASH_WT6
    HASH_CRC32
    HASH_NONE

cdef enum:                       # Backend.hash_flags
    HASH_CONSISTENT = 1
    HASH_AVALANCHE = 2
    HASH_WHOLE = 4

cdef struct Endpoint:            # 80 bytes
    uint32_t slot                # its place in the arena
    uint32_t id                  # 1, 2, ... in order of declaration
    Text name                    # in logs
    Text cookie                  # value of the sticky cookie; n == 0: none
    uint16_t weight              # user weight 0..256
    uint16_t port                # host order
    uint8_t family               # 4, 6, or 1: unix socket
    uint8_t backup
    uint16_t socket_bytes        # length of the ready sockaddr below, or 0 for a unix socket
    uint8_t socket[28]           # a ready sockaddr_in or sockaddr_in6
    Text path                    # unix socket
    uint32_t maxconn
    Text server_name             # what its certificate is to name, and the SNI it is sent; n == 0: nothing

cdef enum:                       # Backend.tls
    BACKEND_CHECK_NAME = 1       # an endpoint's certificate must name its server_name
    BACKEND_SEND_SNI = 2

cdef struct Backend:
    Text name
    uint32_t slot                # the backend's own cell in the arena
    uint32_t endpoints           # offset of the first Endpoint
    uint32_t n                   # endpoints
    uint32_t n_active            # without backups
    uint32_t weight_total        # of active ones
    int32_t connect_ms           # -1: the default of [timeouts]
    int32_t server_ms
    int32_t client_ms
    int32_t queue_ms
    int32_t tunnel_ms
    int32_t server_fin_ms
    int32_t client_fin_ms
    uint16_t retries
    int8_t redispatch
    uint8_t send_proxy           # 0, 1, 2
    uint8_t algorithm            # an Algorithm
    uint8_t hash_function
    uint8_t hash_flags
    uint8_t draws
    uint16_t hash_depth
    uint16_t hash_length
    uint32_t maxqueue
    Text hash_key                # header or parameter name, lower case for headers
    uint32_t limited             # 1: some endpoint has a maxconn (else balance need not look)
    uint8_t tls                  # flags; without a trust: none
    uint8_t reserved[7]
    uint64_t trust               # id of whom the endpoints are believed; 0: they are spoken to without TLS

cdef enum PartKind:
    PART_LITERAL = 0
    PART_FIELD                   # the last element of the last field of that name
    PART_CERTIFICATE             # of the client, as DER

cdef enum:                       # Part.flags
    PART_QUOTE = 1               # in double quotes
    PART_ESCAPE = 2              # a backslash before " \\ ]

cdef struct Part:                # of a value that is evaluated (openshift-routes.md 1.4)
    Text text                    # the literal, or the field's name
    Text converters              # in this order: "l" lower, "b" base64
    uint8_t kind                 # a PartKind
    uint8_t flags
    uint8_t reserved[6]

cdef struct Action:              # set, or delete where value.at == 0
    Text name
    Text value                   # empty where it is evaluated
    uint32_t parts               # offset of the first Part
    uint32_t n_parts             # 0: `value` is all there is

cdef struct Recipe:              # what one route does to a request
    Text key                     # "namespace/name"
    Text host
    Text path
    Text cookie_name             # n == 0: no sticky cookie
    Text cookie_tail             # "; path=/; HttpOnly..." ready to follow the value
    Text hsts                    # the value; n == 0: none
    Text rewrite                 # rewrite-target (openshift-routes.md 9.4), fit for a request line; n == 0: none. One that ends in
                                 # "#" is taken without the rest of the request's path
    uint32_t flags
    uint32_t backend             # offset
    uint32_t request_actions     # offset of the first Action
    uint32_t response_actions
    uint32_t n_request_actions
    uint32_t n_response_actions
    uint8_t forwarded            # a ForwardedMode
    uint8_t reserved[7]
    uint64_t max_body_bytes      # 0: no limit

cdef struct Table:               # what a worker holds of a mapped table; made by open_table, freed by its owner
    const char* at
    size_t bytes
    uint64_t version
    uint64_t holders             # exchanges and tunnels that borrow from it; engine thread only

cdef struct Found:
    const Recipe* recipe         # NULL: no route
    bint redirect                # the most specific match of all has policy Redirect: answer 302 (only asked for with mask RECIPE_PLAIN)

# The most specific route whose flags meet `mask`, by openshift-routes.md 5. `host` as the client wrote it (any case, optional
# trailing dot and port).
cdef Found table_find(const Table* table, View host, View path, uint32_t mask) noexcept nogil
cdef const Recipe* table_of_listener(const Table* table, uint32_t number) noexcept nogil     # tcp listeners; NULL: none

cdef inline View table_text(const Table* table, Text text) noexcept nogil:
    cdef View v
    v.at = table.at + text.at
    v.n = text.n
    return v

cdef inline const Backend* table_backend(const Table* table, const Recipe* recipe) noexcept nogil:
    return <const Backend*>(table.at + recipe.backend)

cdef inline const Endpoint* table_endpoints(const Table* table, const Backend* backend) noexcept nogil:
    return <const Endpoint*>(table.at + backend.endpoints)

cdef class MappedTable:          # owns the mapping; made and checked by MappedTable(fd), which leaves fd to the caller
    cdef Table table
    cdef str text(self, Text text)
    cdef object key(self, const Recipe* recipe)
    cdef dict route(self, const Recipe* recipe)
    cdef list actions(self, uint32_t start, uint32_t n)
    cdef object value(self, const Action* action)
    cdef dict backend(self, const Backend* backend)
    cdef dict endpoint(self, const Endpoint* endpoint)
