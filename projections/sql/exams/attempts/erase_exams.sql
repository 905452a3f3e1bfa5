DELETE FROM {exams} WHERE id IN ({rows})
