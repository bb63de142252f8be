#include "head_room.c"
#define PARSE __pyx_f_5edged_5_fast_5parse_4head_head_request
#include "head.h"
