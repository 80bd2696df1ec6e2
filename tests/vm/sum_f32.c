/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tests' own reference: OUT = A + B, float by float, of whole files. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	FILE *a, *b, *out;
	float x, y;

	if (argc != 4) {
		fprintf(stderr, "usage: %s A B OUT\n", argv[0]);
		return 2;
	}
	a = fopen(argv[1], "rb");
	b = fopen(argv[2], "rb");
	out = fopen(argv[3], "wb");
	if (!a || !b || !out) {
		perror(argv[0]);
		return 1;
	}
	while (fread(&x, sizeof(x), 1, a) == 1 && fread(&y, sizeof(y), 1, b) == 1) {
		float sum = x + y;

		if (fwrite(&sum, sizeof(sum), 1, out) != 1) {
			perror(argv[3]);
			return 1;
		}
	}
	if (fclose(out)) {
		perror(argv[3]);
		return 1;
	}
	return 0;
}
