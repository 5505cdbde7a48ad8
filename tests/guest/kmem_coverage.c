// SPDX-License-Identifier: GPL-2.0-only
/*
 * kmem_coverage [KIND...]: what a tenant can make the kernel allocate is charged
 * to it. Each bomb of kmem_bomb.c, or each KIND, is set off in a beancounter with
 * a limit of kmemsize, until it is refused. Then, while it holds all of it:
 *
 * - it was refused by an errno that the call has for this, or by SIGKILL where
 *   it was a page fault, and not long before the limit;
 * - what is held is what is found in memory (debugfs);
 * - the kernel has hardly more memory in use than before and what is held;
 *
 * and when it is killed all is given back.
 *
 * "In use" is each page that is neither free nor a user's nor in the page cache
 * nor reclaimable slab. Memory cgroups note something for each object, too: boot
 * with cgroup.memory=nokmem. Slab caches that have grown, and other parts of it
 * that have a name, are shown.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kmem_bomb.h"

#define FIRST_ID	8001
#define MIB_LIMIT	24
/* Percent of what is held that may be in use beyond it. */
#define SLACK		5
#define MAX_CACHES	512
#define TOP		10

struct cache {
	char name[48];
	long objects, size, bytes;
};

struct usage {
	/* All in KiB. */
	long in_use, slab, tables, stacks, percpu, vmalloc, reclaimable;
	int nr;
	struct cache cache[MAX_CACHES];
};

/* Pages that are free, but on the list of a CPU. */
static long free_on_cpus(void)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	long pages = 0, count;
	char line[256];

	if (!f)
		die("/proc/zoneinfo");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " count: %ld", &count) == 1)
			pages += count;
	}
	fclose(f);
	return pages * (getpagesize() / KIB);
}

static void read_meminfo(struct usage *u)
{
	long total = -1, free = -1, anon = -1, cached = -1, buffers = -1, swapped = -1;
	struct {
		const char *name;
		long *value;
	} fields[] = {
		{ "MemTotal:", &total },
		{ "MemFree:", &free },
		{ "AnonPages:", &anon },
		{ "Cached:", &cached },
		{ "Buffers:", &buffers },
		{ "SwapCached:", &swapped },
		{ "SReclaimable:", &u->reclaimable },
		{ "SUnreclaim:", &u->slab },
		{ "PageTables:", &u->tables },
		{ "KernelStack:", &u->stacks },
		{ "Percpu:", &u->percpu },
		{ "VmallocUsed:", &u->vmalloc },
	};
	const int nr = sizeof(fields) / sizeof(fields[0]);
	FILE *f = fopen("/proc/meminfo", "r");
	char line[256], name[64];
	int found = 0;
	long kib;

	if (!f)
		die("/proc/meminfo");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %ld", name, &kib) != 2)
			continue;
		for (int i = 0; i < nr; i++) {
			if (!strcmp(name, fields[i].name)) {
				*fields[i].value = kib;
				found++;
			}
		}
	}
	fclose(f);
	if (found != nr)
		die("a line of /proc/meminfo is missing");
	u->in_use = total - free - free_on_cpus() - anon - cached - buffers - swapped -
		    u->reclaimable;
}

static void read_slabinfo(struct usage *u)
{
	FILE *f = fopen("/proc/slabinfo", "r");
	char line[512];

	if (!f)
		die("/proc/slabinfo");
	u->nr = 0;
	while (fgets(line, sizeof(line), f) && u->nr < MAX_CACHES) {
		struct cache *c = &u->cache[u->nr];
		long pages, slabs;

		if (sscanf(line, "%47s %ld %*d %ld %*d %ld : tunables %*d %*d %*d : slabdata %*d %ld",
			   c->name, &c->objects, &c->size, &pages, &slabs) != 5)
			continue;
		c->bytes = slabs * pages * getpagesize();
		u->nr++;
	}
	fclose(f);
	if (!u->nr)
		die("/proc/slabinfo has no cache");
}

/* Gives back what caches keep and RCU frees later. */
static void settle(void)
{
	DIR *dir = opendir("/sys/kernel/slab");
	struct dirent *entry;

	if (!dir)
		die("/sys/kernel/slab");
	usleep(300000);
	put("/proc/sys/vm/drop_caches", "3");
	while ((entry = readdir(dir))) {
		char path[512];

		/* The others are links to these. */
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", entry->d_name);
		put(path, "1");
	}
	closedir(dir);
	usleep(200000);
}

static void look(struct usage *u)
{
	settle();
	read_slabinfo(u);
	/* CPUs add what they have counted by themselves. */
	put("/proc/sys/vm/stat_refresh", "1");
	read_meminfo(u);
}

static const struct cache *cache_named(const struct usage *u, const char *name)
{
	static const struct cache none;

	for (int i = 0; i < u->nr; i++) {
		if (!strcmp(u->cache[i].name, name))
			return &u->cache[i];
	}
	return &none;
}

/* The caches that have grown most, each with what of it is in use beyond its objects. */
static void show_caches(const char *kind, const struct usage *before, const struct usage *after)
{
	int shown[TOP];

	for (int n = 0; n < TOP; n++) {
		long most = 0, grown = 0, objects;
		int which = -1;

		for (int i = 0; i < after->nr; i++) {
			int k = 0;

			while (k < n && shown[k] != i)
				k++;
			if (k < n)
				continue;
			grown = after->cache[i].bytes -
				cache_named(before, after->cache[i].name)->bytes;
			if (grown > most) {
				most = grown;
				which = i;
			}
		}
		if (which < 0)
			return;
		shown[n] = which;
		objects = after->cache[which].objects -
			  cache_named(before, after->cache[which].name)->objects;
		printf("# %s: %s: %ld KiB more for %ld objects of %ld bytes, %ld KiB beyond them\n",
		       kind, after->cache[which].name, most / KIB, objects,
		       after->cache[which].size,
		       (most - objects * after->cache[which].size) / KIB);
	}
}

/* What the table of omissions names, and nothing else. */
static long named_growth(const struct bomb *bomb, const struct usage *before,
			 const struct usage *after)
{
	long all = 0;

	for (int n = 0; bomb->named[n]; n++) {
		long grown = 0;

		if (!strcmp(bomb->named[n], "percpu"))
			grown = after->percpu - before->percpu + after->vmalloc - before->vmalloc;
		for (int i = 0; i < after->nr; i++) {
			const struct cache *c = &after->cache[i];

			if (!fnmatch(bomb->named[n], c->name, 0))
				grown += (c->bytes - cache_named(before, c->name)->bytes) / KIB;
		}
		printf("# figure: %s: not charged, by name: %s, %ld KiB\n", bomb->name,
		       bomb->named[n], grown);
		all += grown;
	}
	return all;
}

static int is_expected(const struct bomb *bomb, int refused)
{
	for (int i = 0; i < 4 && bomb->refused[i]; i++) {
		if (bomb->refused[i] == refused)
			return 1;
	}
	return 0;
}

static const char *how(int refused)
{
	if (refused < 0)
		return "failed";
	if (!refused)
		return "never refused";
	return refused == BY_KILL ? "SIGKILL" : strerrorname_np(refused);
}

static void cover(const struct bomb *bomb, unsigned int id)
{
	static struct usage before, after;
	const long limit = (bomb->mib ? bomb->mib : MIB_LIMIT) * MIB;
	long in_use, held, allowed;
	struct bc_stat idle, full;
	int refused, alive, same;
	struct tenant t;

	/* What is made once, and stays in caches, is there then. */
	tenant_start(&t, id, limit / 4, bomb);
	tenant_fill(&t);
	tenant_kill(&t);
	given_back(id);

	tenant_start(&t, id, limit, bomb);
	look(&before);
	idle = stat_of(id);
	refused = tenant_fill(&t);
	look(&after);
	full = stat_of(id);
	same = balanced(id);

	held = (long)(full.held - idle.held) / KIB;
	in_use = after.in_use - before.in_use;
	allowed = held + held * SLACK / 100 + bomb->other_bound / KIB +
		  named_growth(bomb, &before, &after);
	printf("# figure: %s: %s, held %ld KiB, in use %ld KiB more, %+.1f %%\n", bomb->name,
	       how(refused), held, in_use, held ? (in_use - held) * 100.0 / held : 0);
	printf("# %s: of it slab %ld, page tables %ld, stacks %ld, per CPU %ld, vmalloc %ld KiB; reclaimable slab %+ld KiB\n",
	       bomb->name, after.slab - before.slab, after.tables - before.tables,
	       after.stacks - before.stacks, after.percpu - before.percpu,
	       after.vmalloc - before.vmalloc, after.reclaimable - before.reclaimable);
	show_caches(bomb->name, &before, &after);

	/* One that has another bound may be far from the limit. */
	result(is_expected(bomb, refused) &&
	       (bomb->other_bound || full.held >= (uint64_t)limit / 2), "%s: refused", bomb->name);
	result(same, "%s: what is held is what is found", bomb->name);
	result(in_use <= allowed, "%s: hardly more is in use than held", bomb->name);
	alive = tenant_kill(&t);
	if (!alive)
		printf("# %s: the tenant did not hold what it had\n", bomb->name);
	result(alive & given_back(id) & balanced(id), "%s: all is given back", bomb->name);
	if (syscall(475, id, 0, NULL, 0, BC_LIMIT_UNPIN) < 0)
		die("BC_LIMIT_UNPIN");
}

int main(int argc, char **argv)
{
	int done = 0;

	for (int i = 0; i < nr_bombs; i++) {
		int wanted = argc < 2;

		for (int k = 1; k < argc; k++)
			wanted |= !strcmp(argv[k], bombs[i].name);
		if (!wanted)
			continue;
		cover(&bombs[i], FIRST_ID + i);
		done++;
	}
	if (done != (argc < 2 ? nr_bombs : argc - 1)) {
		fprintf(stderr, "kmem_coverage: no such kind\n");
		return 2;
	}
	printf("1..%d\n", results());
	return 0;
}
