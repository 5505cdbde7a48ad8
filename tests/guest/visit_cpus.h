/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VISIT_CPUS_H
#define VISIT_CPUS_H

#include <sched.h>

/*
 * An idle CPU keeps the address space of the last process that ran there, until
 * another one does: run on each.
 */
static void visit_cpus(void)
{
	cpu_set_t all, one;

	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
	}
	sched_setaffinity(0, sizeof(all), &all);
}

#endif
