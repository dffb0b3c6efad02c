export const label = (city: string): string => `Weather in ${city}`;
