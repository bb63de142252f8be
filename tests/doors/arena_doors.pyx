"""What a worker does to the arena: it counts."""

from edged._fast.memory.arena cimport Arena, ArenaHeader, Cell, ListenerCell, Standing, Tally

def sizes():
    return {"standing": sizeof(Standing), "cell": sizeof(Cell), "listener": sizeof(ListenerCell), "tally": sizeof(Tally),
            "header": sizeof(ArenaHeader)}

def count_cell(Arena arena not None, int stripe, int slot, *, served=0, queued=0, sessions=0, answers_2xx=0, client_aborts=0):
    cdef Cell* c = &arena.cells(stripe)[slot]
    c.served += served
    c.queued += queued
    c.sessions += sessions
    c.answers[1] += answers_2xx
    c.client_aborts += client_aborts

def count_tally(Arena arena not None, int stripe, *, connections=0, buffers=0, requests=0, table_version=0):
    cdef Tally* t = arena.tally(stripe)
    t.connections += connections
    t.buffers += buffers
    t.requests += requests
    t.table_version += table_version

def count_listener(Arena arena not None, int stripe, int number, *, current=0, accepted=0):
    cdef ListenerCell* c = arena.listener(stripe, number)
    c.current += current
    c.accepted += accepted

def spoil_layout(Arena arena not None, int layout):
    """As if another program had formatted the file."""
    arena.header.shape = (arena.header.shape & ~(<unsigned long long>0xFF << 40)) | <unsigned long long>layout << 40

def places(Arena arena not None, int stripe):
    """Offsets of what a stripe holds."""
    return {"standings": <char*>arena.standings - arena.at, "tally": <char*>arena.tally(stripe) - arena.at,
            "listener 0": <char*>arena.listener(stripe, 0) - arena.at, "cells": <char*>arena.cells(stripe) - arena.at}
